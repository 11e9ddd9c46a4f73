"""The review queue of the station: parts are handed to people, and their answers go to the ledger.

`leases` remembers who has which part in hand, `queue` hands parts out and takes answers, `api`
answers what programs and the page ask under `/api/v1/review`. Which parts wait, and what was found
of them, is in the ledger (`pipeline/ledger/review`), which `lineside review` writes as well. May
call what the web service may.
"""
