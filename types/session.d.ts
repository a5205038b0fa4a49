export {
  type DefaultState,
  type SessionFields,
  SyncMode,
  type SyncParticipant,
  type SyncState,
  SyncStatus,
  type WritableState,
} from '../index.js'
