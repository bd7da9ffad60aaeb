"""A module of the user's."""


class Square:
    def __init__(self, side):
        self.side = side

    def __repr__(self):
        return f"Square({self.side})"

    def grown(self, by):
        return Square(self.side + by)


def area(square):
    return square.side**2
