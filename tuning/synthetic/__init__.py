"""The modules here make synthetic films: whole legs composed from real knees, other parts of the body, and no knees."""
