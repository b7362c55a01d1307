//go:build noria_plant_forget

package core

// built is the planted bug of this binary: see plant.go.
const built = plantLoseStates
