"""Shows how a program calls API v1, in examples for each operation and language."""

from .uploads import FIELD

HERE = "http://127.0.0.1:8000"
"""The examples call the app at this address."""


def _dicom_samples(name: str) -> dict[str, tuple[str, ...]]:
    """Return the examples of an operation that answers a DICOM film with a DICOM object."""
    return {
        "Shell": (
            (
                "curl --silent --fail --header 'Content-Type: application/dicom' --data-binary @knee.dcm --output"
                f" {name}.dcm {HERE}/api/v1/dicom/{name}"
            ),
        ),
        "Python": (
            f"""import requests

with open("knee.dcm", "rb") as film:
    answer = requests.post(
        "{HERE}/api/v1/dicom/{name}", data=film, headers={{"Content-Type": "application/dicom"}}, timeout=60
    )
answer.raise_for_status()
with open("{name}.dcm", "wb") as made:
    made.write(answer.content)""",
        ),
    }


SAMPLES = {
    "grade": {
        "Shell": (
            f"curl --silent --form {FIELD}=@knee.png {HERE}/api/v1/grade",
            f"curl --silent --header 'Content-Type: image/png' --data-binary @knee.png {HERE}/api/v1/grade",
        ),
        "Python": (
            f"""import requests

with open("knee.png", "rb") as first, open("other.png", "rb") as second:
    films = [("{FIELD}", first), ("{FIELD}", second)]  # the field may be repeated
    answer = requests.post("{HERE}/api/v1/grade", files=films, timeout=60)
answer.raise_for_status()
for report in answer.json()["films"]:
    if "error" in report:
        print("failed:", report["error"]["detail"])
    elif report["refused"]:
        print("not graded:", report["refused"]["message"])
    else:
        print([(knee["side"], knee["grade"], knee["label"], knee["grade_set"]) for knee in report["knees"]])""",
        ),
    },
    "model": {
        "Shell": (f"curl --silent {HERE}/api/v1/model",),
        "Python": (
            f"""import requests

model = requests.get("{HERE}/api/v1/model", timeout=60).json()
print(model["model"], model["revision"])""",
        ),
    },
    "overlay": {
        "Shell": (f"curl --silent --fail --form {FIELD}=@knee.png --output overlay.png {HERE}/api/v1/overlay",),
        "Python": (
            f"""import requests

with open("knee.png", "rb") as film:
    answer = requests.post("{HERE}/api/v1/overlay", files={{"{FIELD}": film}}, timeout=60)
answer.raise_for_status()
with open("overlay.png", "wb") as overlay:
    overlay.write(answer.content)""",
        ),
    },
    "dicomReport": _dicom_samples("report"),
    "secondaryCapture": _dicom_samples("secondary-capture"),
}
"""Each operation has an example in each language. The tests run them."""
