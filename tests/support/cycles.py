"""Ways to make an object refer to itself."""


def by_attribute(target):
    target.partner = target


def by_dict(target):
    vars(target)["partner"] = target


def by_new_dict(target):
    target.__dict__ = {**vars(target), "partner": target}
