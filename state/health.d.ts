/**
 * Whether an instance can do its work now. The result of `manager.health()` and `queue.health()`.
 *
 * @example
 * const { ready, reasons }: Health = await manager.health()
 * const response = new Response(JSON.stringify({ ready, reasons }), { status: ready ? 200 : 503 })
 * console.log(response.status)
 */
export interface Health {
  ready: boolean
  /**
   * Why it is not ready: sentences that name the server, 300 characters each at most, without passwords or
   * contents of sessions. Empty if it is ready.
   */
  reasons: string[]
}
