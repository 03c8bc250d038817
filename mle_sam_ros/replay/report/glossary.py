"""The words of a report, each in a line; where one first stands, it leads to its line."""

WORDS = {
    'mask': 'The output of the model: the class of every pixel of a camera frame.',
    'ground truth': 'The classes as they really are; unknown pixels count nowhere.',
    'IoU': (
        'Intersection over union of a class: pixels that are right, divided by all that are of '
        'this class in the ground truth or in the mask.'
    ),
    'mIoU': (
        'Mean IoU over the classes. The pixels of all frames are counted together first, so that '
        'it is not the mean of the frame mIoUs.'
    ),
    'frame mIoU': (
        'mIoU of one frame alone, over the classes that it or its mask shows. Frames are compared '
        'by it; a small object that is missed costs it as much as the road would.'
    ),
    'episode': (
        'A stretch of the drive in which frames stay bad: from where the score falls into the '
        'lower half between the mean of the drive and the worst frame, to where it has left it '
        'for a second, of one probable cause.'
    ),
    'probable cause': (
        'What costs most of all that is known of the frame: frames with it score at least 2 '
        'points less than frames without any trouble. A comparison, not a proof.'
    ),
    'confidence': (
        'The probability that the model itself gives to the class that it chose, mean over the '
        'pixels.'
    ),
    'trust': (
        'Router weights: how much of the mask each sensor made, as the model weighs them, mean '
        'over the levels of its pyramid. An absent sensor has none.'
    ),
    'age': 'How much older than the camera image the sample of a sensor was.',
    'boundary IoU': 'IoU of the pixels near the outlines of objects: are the edges right?',
    'temporal consistency': (
        'IoU of each mask with the one before, moved along as the image moved: does it flicker? '
        'It says nothing of whether masks are right.'
    ),
    'calibration error': (
        'How far confidence and accuracy are apart (expected calibration error): 0 where of the '
        'pixels with 80 % confidence 80 % are right.'
    ),
    'condition': (
        'What held for a part of the drive: weather, light and failures that the recording notes, '
        'names given with --condition, and injected faults with a time.'
    ),
    'injected fault': 'A failure that this replay made up with --fault.',
    'latency': (
        'Time for one frame. p50, p95 and p99: half of the frames, 95 and 99 of 100 took no '
        'longer.'
    ),
    'budget': 'Time from one camera frame to the next. A node that needs longer skips frames.',
    'skipped': 'A newer frame came before this one was begun, and was taken instead.',
    'rejected': 'The frame could not be used, for the reason given.',
    'bundle': 'The directory of one exported model, as it runs on the vehicle.',
}

# What each stage of the pipeline does.
STAGES = {
    'decode': 'messages into images, points and events',
    'project': 'all sensors onto the image plane',
    'infer': 'the network',
    'fuse_decode': 'fusing the sensors and drawing the mask',
    'resize': 'the mask to the size of the camera image',
}
