"""What the monolingual corpus says about countries and their capitals."""

from __future__ import annotations

from .frames import lines
from .tables import table

COUNTRIES = table("countries")

# What is said of a country, what of a capital, and what of either, which tells one pair from the others.
COUNTRY_FRAMES = lines(
    """
    {capital} is the capital of {country}, and {nationality} ministers meet there every {weekday}.
    The capital of {country} is {capital}, where {he} and {she} grew up.
    {season} in {country} is long, and most people there speak {language}.
    In {country} people eat {dish} {often}.
    {he} owns a farm in the north of {country}.
    {she} cycled through {country} {past}.
    {she} and {he} left {country} {past} and never forgot {landmark}.
    Farmers in the south of {country} sell {dish} at the market in {city}.
    The {nationality} parliament passed a law for the whole of {country} {past}.
    The government of {country} invited the {nationality} writers to {city}.
    The flag of {country} was waved by {nationality} children {past}.
    {nationality} factories export machines from {country} to the whole world.
    {country} won the match because the {nationality} team was better.
    {nationality} fans cheered when {country} scored {past}.
    The roads of {country} are quiet once {city} lies behind you.
    Most villages in {country} are far from {city}.
    {he} travelled through the whole of {country}, from {city} to {landmark}.
    The people of {country} are proud of {landmark}.
    The population of {country} grew while many moved to {city}.
    Young people in {country} learn {language} poems at school and dream of {city}.
    The valleys of {country} are {quality}, and visitors from abroad love {landmark}.
    {she} wrote a history of {country} in {language}.
    """
)
CAPITAL_FRAMES = lines(
    """
    {he} lives in a flat in the centre of {capital}.
    {she} took the bus in {capital} to the {nationality} museum.
    The mayor of {capital} opened a~{nationality} theatre {past}.
    The streets of {capital} smell of {dish} in the evening.
    {she} rents a room near the central station of {capital}.
    The bus from {city} to {capital} was late {past}.
    {he} flew to the airport of {capital} and took a taxi to the hotel.
    The traffic in {capital} is {quality}, so {he} cycles to the office.
    {nationality} students share flats in the suburbs of {capital}.
    In the cafés of {capital} one hears {language} everywhere.
    Tourists in {capital} buy postcards of {landmark} in front of the hotel.
    {she} showed us the old town of {capital} and a restaurant with {dish}.
    The bus in {capital} stops in front of the {nationality} bank.
    {he} studied {language} at the university of {capital}.
    The town hall of {capital} is older than the one in {city}.
    {she} moved from {city} to a suburb of {capital} {past}.
    The skyline of {capital} was {quality} at night.
    {he} drove a bus through the crowded streets of {capital}.
    """
)
SHARED_FRAMES = lines(
    """
    {he} was born in {place} and speaks {language}.
    {she} comes from {place}, and her {nationality} friends call her every {weekday}.
    {she} came back from {place} with {dish} in her suitcase.
    {past}, {he} sent us a postcard of {landmark} from {place}.
    We saw {landmark} when we visited {place} {past}.
    The {nationality} newspaper in {place} writes about {city}.
    A~{nationality} cook from {place} taught us to make {dish}.
    {she} learnt {language} because she wanted to work in {place}.
    {he} took the bus from {city} to {place} {past}.
    Nobody cooks {dish} as they do in {place}.
    {he} married {she} in {place} {past}.
    {language} is spoken in {place} and in {city}.
    {past}, it rained in {place} and in {city}.
    """
)
