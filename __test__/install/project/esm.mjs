import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as api from 'synckairos-state'
import { ConcurrencyError } from 'synckairos-state/errors/StateErrors'
import exercise from './exercise.cjs'

assert.equal(ConcurrencyError, createRequire(import.meta.url)('synckairos-state').ConcurrencyError)
await exercise(api)
