"""The station's pages for people: rendered here, with nothing from outside, without a build step.

A page is one module with `routes(site)`, one template in `templates/` that extends `base.html.j2`,
its texts in each file of `texts/`, and its line in `catalogue`. `site` is what all pages share
(access, errors, language), `renderer` fills the templates, `texts` are the languages: one file
each, so that a further language is a further file. What a page needs beside its markup stands in
`assets/`: one style sheet, and JavaScript modules as they are. Needs the extra `pages` (Jinja2).
May call what the web service may.
"""
