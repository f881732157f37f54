//go:build !race && !synctests

package bubble

const raced = false
