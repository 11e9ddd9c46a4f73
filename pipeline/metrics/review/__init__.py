"""How much a person has to look at, and why: by promise, by ranking, groups, labels, odd groups.

Every figure is that of limits that the policy chooses again. May call the policies of `metrics`,
and `contracts`.
"""
