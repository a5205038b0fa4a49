declare function exercise(api: typeof import('synckairos-state'), url?: string): Promise<void>
export = exercise
