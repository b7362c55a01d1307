//go:build !race

package core

const seedsMost = 2000
