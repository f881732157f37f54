package planted

import "testing"

// What users build has no bug planted.
func TestAUsualBuildHasNone(t *testing.T) {
	for _, b := range All {
		if Is(b) {
			t.Errorf("%s is planted", b)
		}
	}
}
