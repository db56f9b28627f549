package session

// DecodeLines is Decode without the packing.
var DecodeLines = decode
