import { SyncMode, SyncStatus } from '../index.js'

/** Légal's mate, as it is taught since 1750. White begins. */
const MOVES = 'e4 e5 Nf3 d6 Bc4 Bg4 Nc3 g6 Nxe5 Bxd1 Bxf7+ Ke7 Nd5#'.split(' ')
const GIFT_EVERY = 4
const GIFT_MS = 1000
const CLOCK_MS = 60_000

/** How often both instances write at the same moment, on purpose. */
export const RACES = Math.floor(MOVES.length / GIFT_EVERY)

/** Which instance plays which colour. */
export const COLOURS = { A: 'white', B: 'black' }

export function newGame(sessionId) {
  const participants = ['white', 'black'].map((colour) => ({
    participant_id: colour,
    total_time_ms: CLOCK_MS,
    time_remaining_ms: CLOCK_MS,
    has_gone: false,
    is_active: colour === 'white',
  }))
  const now = new Date()
  return {
    session_id: sessionId,
    version: 1,
    sync_mode: SyncMode.PER_PARTICIPANT,
    status: SyncStatus.RUNNING,
    participants,
    active_participant_id: 'white',
    total_time_ms: 2 * CLOCK_MS,
    time_per_cycle_ms: null,
    increment_ms: null,
    max_time_ms: null,
    cycle_started_at: now,
    session_started_at: now,
    session_completed_at: null,
    created_at: now,
    updated_at: now,
    // Fields of the demo's own: a session may have any.
    moves: [],
    gifts: 0,
    presses: 0,
    finished: [],
  }
}

/** Both give a second to both clocks, at the same moment: a race. */
export const isRaceDue = (game) =>
  game.gifts < 2 * Math.floor(game.moves.length / GIFT_EVERY) && !isOver(game)

export const isTurnOf = (game, colour) => game.active_participant_id === colour && !isRaceDue(game)

export const isOver = (game) => game.status === SyncStatus.COMPLETED

export const nextMove = (game) => MOVES[game.moves.length]

export const clockOf = (game, colour) =>
  game.participants.find((participant) => participant.participant_id === colour).time_remaining_ms

/** The active participant moved: the time goes off the clock, and it is the other's turn. */
export function switchTurn(game, usedMs) {
  const mover = game.active_participant_id
  const moves = [...game.moves, nextMove(game)]
  const over = moves.length === MOVES.length
  const next = mover === 'white' ? 'black' : 'white'
  const participants = game.participants.map((participant) =>
    participant.participant_id === mover
      ? {
          ...participant,
          time_remaining_ms: participant.time_remaining_ms - usedMs,
          has_gone: true,
          is_active: false,
        }
      : { ...participant, is_active: !over },
  )
  return {
    ...game,
    participants,
    moves,
    active_participant_id: over ? null : next,
    cycle_started_at: new Date(),
    status: over ? SyncStatus.COMPLETED : SyncStatus.RUNNING,
    session_completed_at: over ? new Date() : null,
  }
}

export function giveTime(game) {
  const participants = game.participants.map((participant) => ({
    ...participant,
    time_remaining_ms: participant.time_remaining_ms + GIFT_MS,
  }))
  return { ...game, participants, gifts: game.gifts + 1 }
}

/** At full speed: one more press of the clock, which moves nothing but a counter. */
export const press = (game) => ({ ...game, presses: game.presses + 1 })

export const finish = (game, name) => ({ ...game, finished: [...game.finished, name] })
