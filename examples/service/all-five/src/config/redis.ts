export * from 'synckairos-state/config/redis'
