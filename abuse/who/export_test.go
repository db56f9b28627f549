package who

// EndRestarted does what Run does every ten seconds.
var EndRestarted = (*Who).endRestarted
