//go:build !noria_plant_forget && !noria_plant_halve && !noria_plant_mute

package core

// built is the planted bug that a binary has by a build tag, so that noria chaos can be seen to find it: none.
const built = noPlant
