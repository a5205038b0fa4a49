export const writeReadme = () => {}
