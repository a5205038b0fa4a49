import { ClockRuleError, newClock, started, turnEnded } from '@/clock/clock'
import { SyncStatus } from '@/types/session'

const noon = new Date('2030-01-01T12:00:00Z')
const later = (seconds: number) => new Date(noon.getTime() + seconds * 1000)
const clock = newClock('a', { participants: ['alice', 'bob'], time_ms: 60_000, increment_ms: 2000 })

test("a turn costs its time, earns the increment, and is followed by the next one's", () => {
  const running = started(clock, noon)
  const after = turnEnded(running, 'alice', later(10))

  expect(after.active_participant_id).toBe('bob')
  expect(after.participants.map((one) => one.time_remaining_ms)).toEqual([52_000, 60_000])
  expect(turnEnded(after, 'bob', later(15)).participants.map((one) => one.is_active)).toEqual([
    true,
    false,
  ])
})

test('a turn that takes longer than there is time ends the game', () => {
  const after = turnEnded(started(clock, noon), 'alice', later(61))

  expect(after.status).toBe(SyncStatus.EXPIRED)
  expect(after.participants[0]?.time_remaining_ms).toBe(0)
  expect(after.session_completed_at).toEqual(later(61))
})

test('a turn that began on an instance whose time is ahead costs nothing', () => {
  const after = turnEnded(started(clock, later(1)), 'alice', noon)

  expect(after.participants[0]?.time_remaining_ms).toBe(62_000)
})

test('only whose turn it is can end it, and only while the clock runs', () => {
  expect(() => turnEnded(clock, 'alice')).toThrow(ClockRuleError)
  expect(() => turnEnded(started(clock), 'bob')).toThrow('It is not the turn of bob')
  expect(() => started(started(clock))).toThrow('The clock is running')
})
