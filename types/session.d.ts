export { SyncMode, type SyncParticipant, type SyncState, SyncStatus } from '../index.js'
