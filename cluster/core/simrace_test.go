//go:build race

package core

const seedsMost = 150
