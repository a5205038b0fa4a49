const colours = process.stdout.isTTY && !process.env.NO_COLOR
const paint = (code, text) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text)

export const bold = (text) => paint('1', text)
export const dim = (text) => paint('2', text)
export const good = (text) => paint('32', text)
export const bad = (text) => paint('31', text)

const INSTANCE = { A: '36', B: '35' }
const VERB = { hears: '2', refused: '33', retries: '33' }

/** One event: when, which instance, what it does, in plain words, and the version it is about. */
export function line(startedAt, instance, verb, text, version = '') {
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(3).padStart(7)
  const who = paint(INSTANCE[instance], instance)
  const what = paint(VERB[verb] ?? '0', verb.padEnd(8))
  return `${dim(`${seconds} s`)}  ${who}  ${what}  ${text.padEnd(50)} ${version}`.trimEnd()
}

export const title = (text) => console.log(`\n${bold(text)}`)
