"""What the kernels of event decoders count: positions in an int64 array that they add to."""

NAMES = (
    'triggers',
    'out_of_range',
    'unknown_words',
    'undecodable',
    'late',
    'time_steps_back',
    'time_jumps',
)
(
    TRIGGERS,  # words of the trigger input
    OUT_OF_RANGE,  # events outside the sensor: bit errors
    UNKNOWN_WORDS,  # words of reserved types
    UNDECODABLE,  # events before the first time, or before the address they continue
    LATE,  # events older than one before them
    TIME_STEPS_BACK,  # times older than one before them
    TIME_JUMPS,  # times so much older that the sensor must have begun anew
) = range(len(NAMES))
