declare function exercise(api: typeof import('synckairos-state')): Promise<void>
export = exercise
