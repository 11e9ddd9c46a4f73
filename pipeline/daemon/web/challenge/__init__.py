"""`/api/v1/challenge`: challenge runs for the page and for programs. May call what `web` may."""
