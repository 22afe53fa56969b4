"""Source code in git: mirrors and bundles, taken, read, verified, and cloned from.

git       git, started as the owner of what it reads, in a clean environment
copies    a mirror brought up to date, a bundle made; what is there; whether it is whole
"""
