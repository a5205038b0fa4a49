export * from 'synckairos-state/state/DBWriteQueue'
