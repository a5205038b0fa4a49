// What a command is, what it gets, and what it gives back.

export type Paper = InstanceType<typeof import('./terminal/paper.js').Paper>
export type Printer = InstanceType<typeof import('./terminal/Printer.js').Printer>
export type Progress = InstanceType<typeof import('./terminal/Progress.js').Progress>
export type Servers = InstanceType<typeof import('./servers.js').Servers>

/** An option of the command line: as `util.parseArgs` takes it, with what `--help` says. */
export interface Option {
  type: 'string' | 'boolean'
  short?: string
  /** What stands for the value in `--help`. */
  value?: string
  help: string
}

/** Where the servers are, and how to use them. */
export interface Settings {
  /** A URL. */
  redis: string
  /** A URL. */
  database: string | undefined
  queueName: string
  keyPrefix: string
  /** Certificates in PEM. */
  ca: string | undefined
  timeoutMs: number
  json: boolean
  yes: boolean
}

export interface Command {
  name: string
  /** What follows the name: in brackets what may be missing, with … any number. */
  arguments?: string[]
  summary: string
  help: string
  options?: Record<string, Option>
  /** Without the name of the program. */
  examples: string[]
  /** Resolves to undefined if it has printed what there was. */
  run(context: Context): Promise<Result | undefined>
}

export interface Context {
  args: string[]
  /** The options, by name. */
  // biome-ignore lint/suspicious/noExplicitAny: each command knows its own
  values: Record<string, any>
  settings: Settings
  servers: Servers
  paper: Paper
  print: Printer
  progress: Progress
  /** Of Ctrl-C. */
  signal: AbortSignal
  /** Throws after Ctrl-C. */
  checkpoint(): void
}

/** What a command has found: for programs, and for people. */
export interface Result {
  json: unknown
  lines: string[]
  /** Default: `ExitCode.FINE`. */
  code?: number
}
