"""Every tooltip of the classification and review panels, in one place."""

from __future__ import annotations

CLASSIFY = {
    "layer": "The stack of patterns to sort. Open a file or a folder if it is not in the list.",
    "model": "The model that sorts the patterns. What it was made for stands below.",
    "device": (
        "Where the network runs. 'auto' takes a graphics card where there is one, "
        "else the processor."
    ),
    "batch_size": (
        "Patterns sorted at a time (number). Take fewer if memory runs short; "
        "Cancel acts within one batch."
    ),
    "shares": (
        "How often zones are expected, and how sure one must be of them. Suited to the stack: "
        "where its zones stand apart from all other patterns, the border lies between the two. All "
        "zones: nearer to the others, for a review. Sure zones: farther from them. Usual: about "
        "3 % of the patterns are zones, whatever the stack shows. Alike: for data sorted by hand."
    ),
    "preprocess": (
        "Whether the model sees the patterns, or clean ones that are drawn from the peaks found in "
        "them. Redraw for models trained on clean patterns only; 'zones' knows cameras."
    ),
    "threshold": (
        "Confidence, from 0 to 1, below which a pattern counts as doubtful "
        "and is put forward for review."
    ),
    "run": "Sort all patterns of the stack. Results appear as they are found.",
    "continue": "Go on where the last run was cancelled.",
    "cancel": "Stop after the batch at work. What is sorted so far is kept.",
    "follow": (
        "For an experiment that still runs: sort what is there, look every second for what was "
        "added, and sort that, until this is switched off. What is sorted is kept."
    ),
    "follow_not": (
        "Only a folder, or a file that can hold many patterns, can be followed: open one of these."
    ),
    "newest": (
        "Let the slider go to the newest pattern that was sorted. Off: it stays where you are."
    ),
    "all": "Show the whole stack again.",
    "class": "Open the patterns of this class as a stack of their own, the most probable first.",
    "histogram": (
        "Number of patterns (height: square root) by confidence, coloured by class. "
        "Click on a bar to see and review only those patterns; click again to see all. "
        "The dashed line is the confidence threshold."
    ),
    "clear_filter": "Show the patterns of every confidence again.",
    "review": "Look at the doubtful patterns, the least certain first, and give each its class.",
}

REVIEW = {
    "next": "Show the pattern that the model is least sure of and nobody has decided on (key N).",
    "label": "Give this pattern the class {label} and go on to the next (key {key}).",
    "probability": "The model's probability of this class, from 0 to 1.",
    "undo": "Take back the last decision (Ctrl+Z).",
    "threshold": CLASSIFY["threshold"],
    "accept": (
        "Accept the model's class for every pattern at or above the threshold "
        "on which nobody has decided. Ctrl+Z takes it back."
    ),
    "progress": "Doubtful patterns that somebody has decided on, of all doubtful patterns.",
    "table": "Open napari's table of features: one row for each pattern; click on a row to see it.",
    "export_what": "What to write: the whole table, or the patterns of one class.",
    "export_class": "The class whose patterns are written, the most probable first.",
    "export": "Choose a file name and write it.",
    "continue": "Take up the saved review with all its decisions.",
    "anew": "Begin without the saved decisions. They are set aside on the disk, not deleted.",
    "classify": "Open the panel that sorts the patterns of a stack.",
}

LEARN = {
    "name": "What the new model is called in the lists of models. One of this name is replaced.",
    "learn": (
        "Fine-tune the model that sorted these patterns by the classes you gave one by one, sort "
        "the stack anew, and put forward the patterns that would teach most next."
    ),
    "cancel": (
        "Stop after the step at work. Labels and results stay as they are; a model that has "
        "learned already is kept."
    ),
}

PHASE_MAP = {
    "scan": (
        "The scan to map: patterns in rows and columns. Open a file if it is not in the list."
    ),
    "follow": (
        "For a scan that is still recorded: map the rows that are there, look every second for "
        "further ones, and map those, until this is switched off. What is done is kept."
    ),
    "follow_not": "Only a scan in one file can get further rows: open such a file.",
    "newest": (
        "Let the slider go to the newest pattern that is recorded. Off: it stays where you are."
    ),
    "model": (
        "What names the phases: indexing, with nothing given or with your own phases; or a "
        "network, of the Bravais lattices or of your own phases."
    ),
    "run": "Name the phase at every point. The map fills as the patterns are looked at.",
    "continue": "Go on where the last run was cancelled.",
    "cancel": "Stop after the step at work. The map keeps what is done.",
    "threshold": (
        "Confidence, from 0 to 1, below which a point is 'not indexed' (dark grey). "
        "The map is recoloured at once."
    ),
    "votes": (
        "Show what each single pattern says, or let regions of alike neighbouring patterns vote "
        "together. Both maps are kept."
    ),
    "legend": "The phases with their share of the area, of all points looked at.",
    "point": "Probability of every class at the point on view. Click on the map to see another.",
    "compare": "Compare with the map of another program: .ang, .ctf or .h5 of the same scan.",
    "matrix": "Number of points: the other map's phases in rows, this map's in columns.",
    "export": "Write the map: .h5 for orix, .ang, .ctf, a figure with legend, or a table.",
}

INDEXED = {
    "show": "Which map lies above the others.",
    "key": "Colours of the crystal directions, for the largest phases.",
    "confidence": (
        "Confidence, from 0 to 1, below which a point is 'not indexed' (dark grey): how much "
        "better the solution is than the second-best. The map is recoloured at once."
    ),
    "misfit": (
        "Largest mean angle between the bands found and those of the solution, in degrees; points "
        "above are 'not indexed'. The map is recoloured at once."
    ),
    "centre": (
        "Pattern centre in Bruker's convention: x from the left, y from the top, distance; as "
        "shares of the pattern's width, height and height. Uncertain in the digits in brackets."
    ),
    "phase": "Click on a name to give it to the phase, here and in every file that is written.",
    "export": (
        "Write the solution: .json, a table, .ang, .ctf or .h5 with orientations, or a figure."
    ),
    "bands": (
        "Draw the bands of the solution over the pattern, with the indices of planes and zone axes."
    ),
    "second": (
        "Draw the bands of the second-best answer in the place of those of the solution: look "
        "which of them lie on what is seen."
    ),
    "network": (
        "What the network of Bravais lattices says of the pattern on view, all by itself. The "
        "first time it takes seconds."
    ),
    "why": "Lay over the pattern what the network looked at (Grad-CAM).",
    "candidates": (
        "Choose a folder of CIF files: its crystals and the built-in materials are ranked for each "
        "phase by cell and by strengths of bands (1: all agrees). Click on a name to take it."
    ),
    "compare": (
        "Compare with the map of another program, .ang, .ctf or .h5 of the same scan: phases, and "
        "orientations where the phase is the same."
    ),
    "pattern": (
        "The pattern on view as it was measured, divided by the background of the camera, or "
        "with its own background taken off and its contrast evened out."
    ),
    "point": "What was found at the point on view. Click on the map to see another.",
    "found": (
        "The bands found in the pattern on view, the surest first, each with the plane of the "
        "solution that lies there. Choose one to see its edges in the pattern."
    ),
    "averages": (
        "Average the patterns of each grain, which shows bands far clearer than one pattern, and "
        "open the averages as a stack, the largest grain first."
    ),
}

BAND_COLUMNS = {
    "Plane": "Plane of the solution that lies within 1.5 degrees of the band; –: there is none.",
    "Width": "Half width of the band in degrees, coarse: near the Bragg angle of its plane.",
    "Real": "How probable it is that the band is real and not noise.",
    "Off": "Angle between the band and the plane, in degrees.",
}

VOLTAGE_TIPS = {
    "source": (
        "Acceleration voltage: with it the widths of bands tell the lengths of cells. Nothing else "
        "depends on it; cells that are found already change with it at once."
    ),
    "number": "Acceleration voltage in kV.",
}

TILTS = {
    "source": (
        "Tilts of sample and camera. They decide how orientations stand in the sample, and what "
        "files for other programs say; solutions that are there follow them at once."
    ),
    "sample": "Tilt of the sample in degrees, usually 70.",
    "camera": "Elevation of the camera in degrees.",
}

CENTRE = {
    "refine": (
        "Start from this centre and refine it together with the cells, where it is known only "
        "nearly. Indexing alone does so."
    ),
    "source": (
        "Where the beam would meet the screen at a right angle. It decides how sharp the names of "
        "the lattices are: give it if you know it and the file does not."
    ),
    "number": (
        "In Bruker's convention: x and y from the left and the top, and the distance, as shares of "
        "the pattern's width, height and height."
    ),
}

EXPLAIN = {
    "layer": "The patterns. Open a file or a folder if it is not in the list.",
    "model": "The model to be questioned. What it was made for stands below.",
    "class": (
        "Class whose evidence is shown: what speaks for it in the pattern. 'Predicted' takes the "
        "class that the model gives to each pattern."
    ),
    "method": (
        "How the map is made. Grad-CAM and Grad-CAM++ weigh what the network found by how much it "
        "counts for the class; HiResCAM does so place by place; Eigen-CAM shows where the network "
        "is active, whatever the class."
    ),
    "explain": "Show over the pattern on view what the network looked at.",
    "follow": "Explain each pattern as it comes into view, while the layer of the map is there.",
    "first": "Number of the first pattern, counted from 0; a scan is counted row by row.",
    "last": "Number of the last pattern.",
    "filtered": "Only patterns within the confidences chosen in the panel Classify patterns.",
    "several": "Make the maps of all these patterns, to be looked at without waiting.",
    "cancel": "Stop after the pattern at work. The maps made so far are kept.",
}

EVALUATE = {
    "layer": "The patterns whose true classes are known. Open a file if it is not in the list.",
    "labels": (
        "Where the true classes are taken from. Patterns without one are left out of every figure."
    ),
    "model": "The model to be judged. What it was made for stands below.",
    "other": "A second model, judged by the same patterns, to see which of the two is better.",
    "run": "Have the model sort the patterns, and compare the results with the true classes.",
    "cancel": "Stop after the batch at work. No figure is shown for a part of the patterns.",
    "shown": "The model whose figures and confusion matrix are shown below.",
    "comparison": (
        "Difference to the first model with its 95 % interval, from the same draws of patterns for "
        "both: one that does not hold 0 is real. McNemar's p is the probability of so uneven a "
        "split of the patterns between equally good models."
    ),
    "classes": (
        "Precision: share of the patterns called so that truly are. Recall: share of those that "
        "truly are so that were found. F1: their harmonic mean. Point at a figure for its interval."
    ),
    "cells": "Numbers of patterns, or shares of the true class in percent.",
    "matrix": (
        "True classes in rows, assigned ones in columns; right ones blue, wrong ones orange. "
        "Click on a cell to see its patterns, those first of which the model is surest."
    ),
    "worst": "See the wrong patterns, those first of which the model is surest (at most 100).",
    "least": "See the patterns of which the model is least certain, right or wrong (at most 100).",
    "all": "Go back to the whole stack.",
    "chart_kind": "What the chart below shows.",
    "chart": (
        "By threshold: share of the patterns that it keeps, and how many of these are right; click "
        "to try one. Reliability: how often the model is right at each confidence (bars: 95 %)."
    ),
    "threshold": "Confidence, from 0 to 1, that a pattern must have to be kept.",
    "use": "Make this the confidence threshold of the panels that sort and review.",
    "report": "Write all figures and tables, and a page that shows them, into a folder.",
}

PEAKS = {
    "layer": "The spot patterns. Open a file or a folder if it is not in the list.",
    "threshold": (
        "Least height of a spot over the noise of a single pixel (a ratio). Lower finds weaker "
        "spots, and more that are none."
    ),
    "find": (
        "Find the peaks of the pattern on view. Its spots become a Points layer, to which spots "
        "can be added, and in which they can be moved and deleted."
    ),
    "all": "Find the peaks of all patterns. What was corrected by hand stays.",
    "follow": "Find the peaks of each new pattern as it comes into view.",
    "cancel": "Stop after the patterns at work. The peaks found so far are kept.",
    "redraw": (
        "Draw all patterns anew from their peaks, as clean patterns like those on which models are "
        "trained. Corrections show at once."
    ),
    "classify": "Open the panel Classify patterns with the redrawn patterns.",
    "save": "Write the peaks found so far into a table, one row a spot.",
}

TRAIN = {
    "Patterns in the window": "Learn from a layer with labels: those of your review, or its own.",
    "Files and folders": "Learn from stacks with labels, and from folders sorted by class.",
    "Simulation": "Learn from simulated patterns, alone or beside labelled ones.",
    "layer": "The stack of patterns to learn from.",
    "labels": "Where the true classes of its patterns are.",
    "paths": (
        "Stacks with labels in the file or in a table beside it (run42.h5 and run42.h5.csv), and "
        "folders that hold a folder of patterns for each class."
    ),
    "add_folder": "Add a folder that holds a folder of patterns for each class.",
    "add_file": "Add a stack with labels in the file or in a table beside it.",
    "remove": "Take the chosen lines off the list; the files stay.",
    "kind": (
        "Spot patterns: zones, Laue patterns, no-hits and several crystals, with the camera and "
        "noise of ordinary experiments. EBSD patterns: one class for each crystal."
    ),
    "patterns": "Number of patterns to simulate.",
    "structures": "Known materials or CIF files, with commas between them; each is a class.",
    "network": (
        "What learns. The compact one needs minutes on a laptop; the others are known from "
        "photographs, better with many patterns, and want a graphics card."
    ),
    "pretrained": (
        "Start from weights trained on photographs, which are fetched once; less patterns are "
        "needed then."
    ),
    "grey": "How the values of a pattern become grey: what the network can see.",
    "size": "Height and width of the pictures that the network sees, in pixels.",
    "epochs": (
        "How often all patterns are gone through, at most. The training ends when nothing gets "
        "better for 5 epochs."
    ),
    "minutes": "The training ends after this time at the latest.",
    "name": "What the model is called in the lists of models.",
    "start": "Train, in a process of its own; the window stays quick.",
    "stop": "Stop the training. The model of the best epoch so far is kept.",
    "curves": (
        "Above, the loss on the patterns learned from and on those kept to judge by; where only "
        "the latter rises, the network learns by heart. Below, the mean recall of the classes on "
        "those to judge by. The dashed line marks the epoch whose model is kept."
    ),
    "classify": "Open the panel Classify patterns with this model.",
    "save": "Write the model as one file; dropped on napari, it is in every list of models.",
}

UNIT_CELL = {
    "layer": "The stack of spot patterns whose unit cell is looked for.",
    "sample": "Open a simulated serial experiment of 300 patterns to try this panel on.",
    "classify": "Open the panel that sorts the patterns; those it calls 2DZone are the zones.",
    "review": "Open the panel in which zones are looked at and sorted by hand.",
    "fit": "Find the spots of each zone and fit its net to them.",
    "add": (
        "Take the pattern on view as a zone, whatever its class; its dominant net is fitted "
        "(key A)."
    ),
    "cancel": "Stop after the step at work. Nets fitted so far are kept.",
    "nets": (
        "One row a net: number of the pattern, its two shortest vectors in 1/A (pixels where the "
        "scale is left open), the angle between them in degrees, spots on it, and its zone axis "
        "[uvw] in the chosen cell. A click shows the pattern; italic nets were corrected by hand."
    ),
    "net_number": "Number of the pattern.",
    "lengths": (
        "Lengths of the two shortest vectors in 1/A (pixels where the scale is left open). If the "
        "camera stretches patterns, so are these: Run finds the stretch and takes it off here, too."
    ),
    "lengths_freed": (
        "Lengths of the two shortest vectors in 1/A (pixels where the scale is left open). The "
        "stretch of the camera that the last run found is taken off, from the angles as well."
    ),
    "net_angle": "Angle between the two vectors in degrees.",
    "net_spots": "Number of spots on the net.",
    "net_zone": "Zone axis [uvw] in the chosen cell, where that explains the net.",
    "previous": "Show the pattern of the net before this one (key J).",
    "next": "Show the pattern of the next net (key K).",
    "strike": "The net on view does not count for the cell; press again to take it in (key X).",
    "correct": (
        "Drag the white squares: the one in the middle is the direct beam, the others are ends of "
        "multiples of the two vectors. The net is fitted anew to the spots that lie on it."
    ),
    "scale": (
        "How long a pixel is in reciprocal space. Left open, lengths of cells are known only up to "
        "a common factor; angles are not touched."
    ),
    "pixel_size": "Reciprocal length of a pixel in 1/A.",
    "beam": (
        "Acceleration voltage: with it patterns off a zone axis are indexed on Ewald's sphere, "
        "and a camera length in the file makes the scale."
    ),
    "voltage": "Acceleration voltage in kV.",
    "every": (
        "When the cells are found, index all patterns by them, zones or not. The share that a cell "
        "indexes is its best witness; every pattern then shows its spots with hkl. It takes some "
        "30 ms a pattern; Cancel keeps the cells."
    ),
    "run": "Find the unit cells that explain the nets that are not struck out.",
    "cells": (
        "Cells, best first: lengths in A and angles in degrees; Bravais lattice with its "
        "probability, and volume; zones that the cell explains; share of all patterns that it "
        "indexes by more than chance. Click on one to draw it. The first of each phase indexes all "
        "patterns at once; another one, each when it comes on view."
    ),
    "draw": "Draw the spots that the chosen cell has over each pattern, with their indices hkl.",
    "lattice": (
        "Show the reciprocal lattice of the chosen cell in 3-D, to be turned with the mouse. Blue: "
        "points that some zone shows, with the circles of their planes; orange: the zone on view."
    ),
    "export_what": "Which file to write; all of them go into a folder.",
    "export": "Choose a name and write it.",
}
