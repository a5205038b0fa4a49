export * from 'synckairos-state/state/RedisStateManager'
