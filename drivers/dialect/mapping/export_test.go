package mapping

// PresetProblems says what is wrong with the presets.
func PresetProblems() []error {
	_, errs := presets()
	return errs
}

// The keys of each place, for the test of the page that explains them.
func Keys() map[string][]string {
	return map[string][]string{
		"mapping": ruleKeys, "read": itemKeys, "time": timeKeys, "calibrate": curveKeys,
		"points": pointKeys, "test": testKeys, "expect": valueKeys,
	}
}

// Functions are what an expression may call.
func Functions() []string { return functions }
