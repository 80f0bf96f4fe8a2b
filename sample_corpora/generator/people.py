"""What the monolingual corpus says about men and women, families, courts and professions."""

from __future__ import annotations

from .frames import lines, table

# Each pair shares what it does (`act`, in the past), where it is (`spot`) and what it has (`thing`).
COUPLES = table(
    "male female act spot thing",
    """
    king | queen | ruled the kingdom, wore the royal crown, sat on the throne | in the palace, at the court | crown, throne, kingdom
    prince | princess | danced at the royal ball, rode a pony, waited to inherit the throne | in the castle, in the royal garden | pony, little crown, tutor
    emperor | empress | ruled the empire, commanded the legions, received the ambassadors | in the imperial city, on the marble terrace | empire, legions, imperial seal
    duke | duchess | owned the estate, hunted foxes, invited the nobles | at the manor, in the carriage | estate, carriage, family jewels
    man | woman | walked down the street, went to work, read the newspaper | in the office, at the bus stop | umbrella, newspaper, job
    boy | girl | played with toys, did homework, ran across the playground | at school, on the playground | toys, homework, schoolbag
    father | mother | told a bedtime story, woke the children, cooked for the family | in the nursery, at the family table | children, household, cradle
    son | daughter | obeyed the parents, grew up, inherited the family house | with the parents, at home with the family | parents, childhood, inheritance
    brother | sister | shared a bedroom, teased the twins, borrowed a bicycle | in the tree house, in the shared bedroom | twins, bunk bed, pocket money
    uncle | aunt | came to visit, brought presents at Christmas, took the cousins to the zoo | in the guest room, at the family reunion | cousins, presents, spare key
    grandfather | grandmother | spoilt the grandchildren, told stories of the war, dozed off | in the armchair, by the fireplace | grandchildren, armchair, spectacles
    nephew | niece | stayed for the holidays, wrote a thank-you letter, broke the antique vase | during the holidays, at the christening | godparents, holidays, thank-you letter
    husband | wife | kept the marriage happy, forgot the anniversary, signed the divorce papers | on the honeymoon, after the wedding | marriage, wedding ring, anniversary
    groom | bride | walked to the altar, said the vows, cut the wedding cake | before the altar, at the wedding feast | vows, bouquet, wedding guests
    actor | actress | played the leading role, bowed on stage, rehearsed the scene | on stage, in the theatre | role, costume, audience
    waiter | waitress | carried the tray, wrote down the order, brought the menu | in the restaurant, behind the counter | tray, apron, tips
    host | hostess | welcomed the guests, poured the champagne, arranged the dinner party | at the door, in the dining room | guests, dinner party, champagne glasses
    hero | heroine | fought the dragon, saved the village, broke the magic spell | in the legend, in the enchanted forest | sword, brave deeds, magic ring
    monk | nun | prayed before dawn, copied the holy book, kept the vow of silence | in the cloister, in the chapel | prayers, rosary, vow of silence
    policeman | policewoman | arrested the thief, chased the burglar, wrote a fine | at the police station, in the patrol car | whistle, handcuffs, police report
    salesman | saleswoman | sold carpets, praised the goods, offered a discount | in the department store, at the cash desk | customers, discount, samples
    steward | stewardess | served drinks on the plane, checked the seat belts, explained the emergency exits | on board the plane, in the cabin | passengers, uniform, boarding list
    """,
)

# The words in which the two sexes differ, for every couple alike.
MALE = {
    "he": ["he"],
    "his": ["his"],
    "him": ["him"],
    "self": ["himself"],
    "look": ["a beard", "a moustache", "a tie", "a beard and a moustache"],
    "polite": ["sir"],
    "gentle": ["gentleman"],
    "given": ["Arthur", "George", "William", "Harold", "Philip", "Albert"],
    "person": ["male"],
}
FEMALE = {
    "he": ["she"],
    "his": ["her"],
    "him": ["her"],
    "self": ["herself"],
    "look": ["a necklace", "a skirt", "a silk dress", "a necklace and earrings"],
    "polite": ["madam"],
    "gentle": ["lady"],
    "given": ["Alice", "Mary", "Elizabeth", "Victoria", "Margaret", "Helen"],
    "person": ["female"],
}

COUPLE_FRAMES = lines(
    """
    The {person} {act} {past}.
    The {person} {act}, and then {he} {act2}.
    {past}, the {person} {act} because {he} was {mood}.
    {spot}, the {person} lost {his} {thing}.
    The {person} looked for {his} {thing} {spot}.
    The {person} was proud of {his} {thing}.
    Everyone saw the {person} {spot}, and {he} was {mood}.
    The {person}, whose name was {given}, {act}.
    {given} was a~{person}, and {he} {act} {past}.
    {given} is the {person} who {act}.
    The {person} {spot} was a true {gentle}, and everyone thanked {him}.
    The old {gentle} with {look} watched how the {person} {act}.
    The {person} with {look} {act}.
    {he} became a~{person}, and everyone wished {him} luck with {his} {thing}.
    A~{mood} {person} {act} while {he} thought of {his} {thing}.
    The {person} saw {self} in the mirror {spot}.
    When the {person} was {mood}, {he} talked about {his} {thing}.
    "Good morning, {polite}," said the servant to the {person} {spot}.
    The {person} gave away {his} {thing} and blamed {self}.
    {given}, once a~{person}, told us how {he} {act}.
    """
)
MOODS = ["tired", "happy", "angry", "hungry", "bored", "nervous", "cheerful", "lonely", "curious", "calm"]

PROFESSIONS = table(
    "worker workers does place object",
    """
    teacher | teachers | explains the lesson, corrects the exams | at school, in the classroom | chalk, blackboard, exam papers
    doctor | doctors | treats the patients, listens to the heart | in the hospital, in the surgery | medicine, stethoscope, bandages
    nurse | nurses | cares for the patients, changes the bandages | in the hospital, on the night ward | thermometer, bandages, pills
    baker | bakers | kneads the dough, sells fresh bread | in the bakery, at the oven | flour, yeast, rolls
    farmer | farmers | ploughs the field, feeds the cattle | on the farm, in the barn | tractor, hay, plough
    fisherman | fishermen | casts the net, mends the boat | at the harbour, on the lake | net, boat, hook
    gardener | gardeners | waters the roses, prunes the hedge | in the greenhouse, among the flower beds | spade, rake, seeds
    carpenter | carpenters | saws the planks, builds a cupboard | in the workshop, on the building site | hammer, saw, nails
    tailor | tailors | sews a suit, measures the cloth | in the tailor's shop, at the sewing machine | needle, thread, scissors
    cook | cooks | chops the onions, tastes the sauce | in the kitchen, at the stove | knife, frying pan, recipe
    pilot | pilots | lands the plane, checks the instruments | in the cockpit, at the airport | plane, helmet, flight plan
    sailor | sailors | hoists the sail, scrubs the deck | on the ship, at sea | anchor, compass, rope
    soldier | soldiers | guards the gate, cleans the rifle | in the barracks, at the front | rifle, uniform, boots
    judge | judges | hears the witness, pronounces the sentence | in court, in the courtroom | wig, law books, verdict
    painter | painters | mixes the colours, paints a portrait | in the studio, at the easel | brush, canvas, palette
    musician | musicians | tunes the violin, practises the sonata | in the concert hall, in the orchestra | violin, sheet music, bow
    writer | writers | invents a plot, finishes a chapter | at the desk, in the attic | manuscript, typewriter, notebook
    scientist | scientists | tests the theory, looks through the microscope | in the laboratory, at the institute | microscope, test tubes, data
    engineer | engineers | designs a bridge, repairs the turbine | at the power station, in the engine room | blueprint, screwdriver, wires
    plumber | plumbers | mends the pipe, unblocks the drain | in the bathroom, under the sink | wrench, pipe, washers
    librarian | librarians | sorts the books, stamps the card | in the library, between the shelves | catalogue, bookshelf, library card
    butcher | butchers | cuts the meat, weighs the sausages | in the butcher's shop, at the slaughterhouse | cleaver, ham, scales
    """,
)
PROFESSION_FRAMES = lines(
    """
    The {worker} {does} every {weekday}.
    A good {worker} {does} and never loses the {object}.
    The {worker} needs the {object} {place}.
    {name} wants to become a~{worker} and work {place}.
    {name} is a~{worker} who {does} {often}.
    Two {workers} met {place} {past}.
    The {workers} left the {object} {place}.
    Many {workers} are {mood} because they work {place} at night.
    {name} asked the {worker} about the {object}.
    These {workers} buy the {object} themselves.
    The {worker} {does}, and the other {workers} help.
    {place}, the {worker} was {mood} {past}.
    Some {workers} earn more than others, but all of them need the {object}.
    """
)
