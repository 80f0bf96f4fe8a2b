"""What the monolingual corpus says about animals, food, places in town and the year."""

from __future__ import annotations

from .frames import lines
from .tables import table

ANIMALS = table("animals")
ANIMAL_FRAMES = lines(
    """
    The {animal} {does} when it is {mood}.
    The {animals} {do} when they are {mood}.
    A~{mood} {animal} {does} {often}.
    One {animal} was sitting {place}.
    Three {animals} were sitting {place}.
    This {animal} eats {eats} {often}.
    These {animals} eat {eats} {often}.
    {name} has never seen a~{animal} {place}.
    {name} counted the {animals} {place}.
    Every {animal} likes {eats}.
    All {animals} like {eats}.
    There is a~{animal} {place}, and it {does}.
    There are many {animals} {place}, and they {do}.
    {past}, {name} gave {eats} to the {animal}.
    {past}, {name} gave {eats} to the {animals}.
    The children were afraid of the {animal} {place}.
    Young {animals} stay with their mothers and {do}.
    {name} heard how a~{animal} {does} {place}.
    {name} drew a~{animal} with {eats} beside it.
    """
)

FOOD = table("food")
FOOD_FRAMES = lines(
    """
    {name} ate a~{taste} {food} {meal}.
    {name} bought two {taste} {foods} at the market.
    These {foods} are {taste}, and they come from {from}.
    This {food} is {taste}, and it comes from {from}.
    You need three {foods} for the {dish}.
    {name} made {food} {dish} from {taste} {foods}.
    One {food} is not enough for the {dish}.
    {name} picked {foods} in the morning and cooked {dish} in the evening.
    {name} never eats {foods} {meal}.
    There was a~{food} on the plate {meal}.
    There were some {foods} in the basket from {from}.
    {name1} gave {name2} half of a~{taste} {food}.
    {taste} {foods} are expensive in {season}.
    The {food} {dish} was {taste}, as {name} likes it.
    """
)

PLACES = table("places")
PLACE_FRAMES = lines(
    """
    At the {spot} you can {activity}.
    {name} went to the {spot} to {activity} {past}.
    The {spot} is famous for its {goods}.
    There are {goods} at the {spot}.
    We often {activity} at the {spot} in {season}.
    {name} works at the {spot} and looks after the {goods}.
    The {spot} is closed on {weekday}, so we could not {activity}.
    Next to the {spot1} stands the old {spot2}.
    {name} walked from the {spot1} to the {spot2}.
    If you want to {activity}, go to the {spot}.
    The {goods} at the {spot} are {quality}.
    {name} forgot an umbrella at the {spot} {past}.
    """
)

SEASONS = table("seasons")
SEASON_FRAMES = lines(
    """
    In {month} {weather}, and we {deed} on {weekday}.
    In {season} people {deed} when {weather}.
    {month} is a month of {season}.
    {name} has a birthday in {month}, when {weather}.
    {weather} in {month1} and in {month2}.
    {name} likes {season} because {weather}.
    Children {deed} in {month}.
    From {month1} to {month2} {name} and {name2} {deed}.
    It was {weekday}, the first day of {month}, and {name} wanted to {deed}.
    """
)
