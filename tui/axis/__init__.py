"""The recovery timeline's geometry: columns and instants, what stands in which lane, cuts on a line. No widgets."""
