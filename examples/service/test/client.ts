/** The service as its clients see it. */
export function clientOf(url: string) {
  async function request(method: string, path: string, body?: object) {
    const response = await fetch(url + path, {
      method,
      ...(body && {
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json')
    return {
      status: response.status,
      headers: response.headers,
      text,
      // biome-ignore lint/suspicious/noExplicitAny: each test knows what it has asked for
      body: (isJson ? JSON.parse(text) : null) as any,
    }
  }

  return {
    get: (path: string) => request('GET', path),
    post: (path: string, body?: object) => request('POST', path, body),
    delete: (path: string) => request('DELETE', path),

    /** A new clock of Alice and Bob, whose id is returned. */
    async create(settings = { time_ms: 60_000 }): Promise<string> {
      const { body } = await request('POST', '/sessions', {
        participants: ['alice', 'bob'],
        ...settings,
      })
      return body.session_id
    },

    /** What a browser hears of a session: names of events, and their data. */
    async *events(sessionId: string) {
      const response = await fetch(`${url}/sessions/${sessionId}/events`)
      if (!response.body) throw new Error(`The stream's answer is ${response.status}`)
      let text = ''
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        text += chunk
        const events = text.split('\n\n')
        text = events.pop() ?? ''
        for (const event of events) {
          const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(event) ?? []
          if (name && data) yield [name, JSON.parse(data)]
        }
      }
    },
  }
}
