-- Comes after `counts.lua`, and returns what that has counted.

return counts
