"""TextVQA (Singh et al. 2019, arXiv 1904.08920): questions that need the text in an image, ten people's answers each.

TextVQA_0.5.1_val.json              {"data": [{question_id, image_id, question, answers, image_classes, ...}]}
train_images/IMAGE_ID.jpg           of training and validation; test_images of the test set, which has no answers
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from wherelook.data.files import find_image, locate
from wherelook.data.json_stream import entries
from wherelook.data.rows import row
from wherelook.data.sample import Sample

TABLES = ("TextVQA*_val.json", "TextVQA*_test.json", "TextVQA*_train.json", "TextVQA*.json")


def read(path: str) -> Iterator[Sample]:
    """The samples of TextVQA, of the validation split where it is there; name another file to read that.

    All answers are references, equal ones next to each other and the most frequent first.

    Raises:
        InputError: the files are not there.
        WherelookError: an entry is broken.
    """
    files, names = locate(path, "TextVQA", TABLES, "TextVQA_0.5.1_val.json and the folder train_images")
    for name in names:
        with files.open(name) as stream:
            for _, value, place in entries(stream, files.describe(name), "data"):
                record = row(place, value)
                counts = Counter(record.texts("answers"))
                image = f"{record.required_name('image_id')}.jpg"
                yield Sample(
                    id=record.required_name("question_id"),
                    source=find_image(files, ["train_images", "test_images", "images", ""], image),
                    question=record.required("question"),
                    references=tuple(answer for answer, count in counts.most_common() for _ in range(count)),
                )
