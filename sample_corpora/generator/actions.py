"""What the monolingual corpus says with verbs in all their forms, and with adjectives in their degrees."""

from __future__ import annotations

from .frames import lines, table
from .verbs import english_verb

# Each verb with objects and places of its own, so that its forms have company in common.
VERBS = table(
    "base rest",
    """
    walk | along the beach, through the park, to the office
    run | round the track, up the stairs, to catch the bus
    swim | across the lake, in the pool, against the current
    dance | the tango, to the music, in the ballroom
    sing | a lullaby, in the choir, a folk song
    play | chess, football, the piano
    read | a detective novel, the newspaper, a poem
    write | a postcard, an essay, a diary
    speak | Latin, in a low voice, several languages
    teach | mathematics, history, a class of beginners
    learn | a poem by heart, geometry, new words
    cook | dinner, a thick soup, rice with vegetables
    bake | biscuits, a birthday cake, gingerbread
    eat | lunch, a sandwich, too much chocolate
    drink | a glass of water, black coffee, hot cocoa
    wash | the dishes, the shirts, the car
    clean | the windows, the bathroom, the floor
    paint | the fence, a landscape, the ceiling
    draw | a map, a triangle, a cartoon
    build | a shed, a sandcastle, a raft
    repair | the roof, the radio, a bicycle
    buy | a second-hand car, new shoes, a ticket
    sell | the old piano, ice cream, insurance
    drive | a lorry, too fast, along the motorway
    ride | a camel, a motorbike, bareback
    fly | a kite, over the Alps, a small plane
    throw | a stone, the ball, a snowball
    catch | a cold, the ball, a big trout
    climb | a mountain, over the wall, the ladder
    jump | over the puddle, on the trampoline, into the hay
    open | the window, a bottle, the parcel
    close | the curtains, the door, the lid
    carry | a heavy sack, the shopping, the boxes
    push | the pram, the cart, the wheelbarrow
    pull | the rope, the sledge, a tooth
    break | the ice, a plate, the silence
    steal | a diamond, apples from the neighbour, a purse
    hide | the treasure, behind the curtain, the Easter eggs
    find | a coin, the solution, a lost glove
    lose | the way, a bet, the car keys
    win | the race, a medal, the lottery
    choose | a hat, the shortest road, a topic
    wear | a uniform, sunglasses, a warm scarf
    sleep | in a tent, on the sofa, until noon
    wait | for the bus, in the queue, for an answer
    dream | of a long journey, about flying, of the sea
    laugh | at the joke, about the clown, out loud
    cry | over the onions, at the funeral, in despair
    visit | the sick, a museum, an old friend
    call | an ambulance, the police, a plumber
    answer | the telephone, a difficult question, the email
    ask | a question, for directions, for advice
    begin | the lecture, a new chapter, the experiment
    forget | the password, the appointment, an umbrella
    grow | tomatoes, roses, a hedge
    cut | the bread, the grass, paper into strips
    dig | a tunnel, for gold, a hole
    shake | the bottle, hands, the rug
    fix | the tap, the engine, the shelf
    plan | a trip, the wedding, a surprise
    """,
)


def with_forms(row: dict[str, list[str]]) -> dict[str, list[str]]:
    """The row with the forms of its verb."""
    verb = english_verb(row["base"][0])
    forms = {"third": verb.present, "past_form": verb.past, "participle": verb.participle, "gerund": verb.gerund}
    return row | {name: [form] for name, form in forms.items()}


ACTIONS = [with_forms(row) for row in VERBS]

ACTION_FRAMES = lines(
    """
    {name} will {base} {rest} {future}.
    {name} can {base} {rest}, but {name2} cannot.
    They want to {base} {rest} {future}.
    You must not {base} {rest} on {weekday}.
    Let us {base} {rest} {future}.
    {name} {third} {rest} every {weekday}.
    She {third} {rest} {often}.
    He never {third} {rest} in {season}.
    {name} usually {third} {rest} {often}.
    As a rule, she {third} {rest} before noon.
    {name} {past_form} {rest} {past}.
    {past}, they {past_form} {rest}.
    We {past_form} {rest} when it rained.
    Long ago, {name} once {past_form} {rest}.
    Then {name} {past_form} {rest}, and nobody knew why.
    That was the {weekday} when he {past_form} {rest}.
    {name} has just {participle} {rest}.
    They have {participle} {rest} many times.
    She had already {participle} {rest} when {name} came.
    {name} has never {participle} {rest} in {season}.
    {name} is {gerund} {rest} at the moment.
    {name} enjoys {gerund} {rest}.
    After {gerund} {rest}, {name} was {mood}.
    They were {gerund} {rest} all day.
    Stop {gerund} {rest}, please!
    """
)

DEGREES = table(
    "plain more most kind",
    """
    big | bigger | biggest | elephant, house, suitcase, ship
    small | smaller | smallest | mouse, room, coin, village
    tall | taller | tallest | tower, giraffe, poplar, basketball player
    short | shorter | shortest | break, pencil, sleeve, speech
    old | older | oldest | castle, oak, church, manuscript
    young | younger | youngest | puppy, recruit, pupil, lamb
    fast | faster | fastest | train, cheetah, car, runner
    slow | slower | slowest | snail, tortoise, bus, waltz
    strong | stronger | strongest | ox, wrestler, rope, coffee
    weak | weaker | weakest | bulb, signal, tea, battery
    hot | hotter | hottest | soup, desert, oven, bath
    cold | colder | coldest | winter, glacier, cellar, wind
    warm | warmer | warmest | coat, blanket, evening, sweater
    rich | richer | richest | banker, merchant, sauce, harvest
    poor | poorer | poorest | beggar, orphan, district, harvest
    cheap | cheaper | cheapest | ticket, hostel, ring, wine
    deep | deeper | deepest | well, lake, ocean, voice
    high | higher | highest | mountain, wall, note, shelf
    low | lower | lowest | bridge, note, ceiling, price
    long | longer | longest | river, journey, novel, tunnel
    wide | wider | widest | road, river, avenue, gate
    narrow | narrower | narrowest | lane, alley, staircase, path
    heavy | heavier | heaviest | stone, anvil, suitcase, anchor
    light | lighter | lightest | feather, balloon, canoe, tent
    loud | louder | loudest | drum, siren, thunder, voice
    quiet | quieter | quietest | library, night, engine, suburb
    clever | cleverer | cleverest | fox, chess player, trick, pupil
    easy | easier | easiest | exam, recipe, crossword, path
    hard | harder | hardest | exam, diamond, mattress, winter
    dark | darker | darkest | cave, night, cellar, forest
    bright | brighter | brightest | star, lamp, room, moon
    clean | cleaner | cleanest | towel, kitchen, plate, air
    dirty | dirtier | dirtiest | boot, carpet, window, puddle
    """,
)
DEGREE_FRAMES = lines(
    """
    The {kind} is {plain}, but the {kind2} is even {more}.
    This {kind} is {more} than that one.
    This is the {most} {kind} of all.
    {name} has never seen such a~{plain} {kind}.
    The {kind} here is much {more} than the one in {city}.
    The {most} {kind} in {city} is not far from here.
    Every year the {kind} becomes {more} and {more}.
    The {kind} was too {plain} for {name}.
    The {kind} is as {plain} as ever.
    Nobody in {city} had a~{more} {kind} than {name}.
    {name} chose the {most} {kind} {past}.
    How {plain} the {kind} was!
    {name}'s {kind} was very {plain} {past}.
    {name} and {name2} looked for a~{more} {kind}, and they found the {most} one.
    """
)
