export * from 'synckairos-state/errors/StateErrors'
