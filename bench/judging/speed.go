package main

func (b *bench) speed() error { return nil }
