// Published, and not installed in this repository.
declare module 'synckairos-state-*'
