export * from 'synckairos-state/types/session'
