//go:build noria_plant_halve

package core

// built is the planted bug of this binary: see plant.go.
const built = plantHalve
