//go:build noria_plant_mute

package core

// built is the planted bug of this binary: see plant.go.
const built = plantMute
