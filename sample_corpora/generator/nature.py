"""What the monolingual corpus says about animals, food, places in town and the year."""

from __future__ import annotations

from .frames import lines, table

ANIMALS = table(
    "animal animals does do place eats",
    """
    dog | dogs | barks, wags its tail | bark, wag their tails | in the kennel, in the yard | bones, meat
    cat | cats | purrs, catches mice | purr, catch mice | on the sofa, on the roof | fish, mice
    horse | horses | gallops, neighs | gallop, neigh | in the stable, on the meadow | hay, oats
    cow | cows | moos, gives milk | moo, give milk | in the cowshed, on the meadow | grass, clover
    pig | pigs | grunts, rolls in the mud | grunt, roll in the mud | in the sty, in the mud | potatoes, acorns
    goat | goats | bleats, climbs the rocks | bleat, climb the rocks | on the cliff, in the barn | thistles, leaves
    hen | hens | clucks, lays eggs | cluck, lay eggs | in the henhouse, in the yard | corn, worms
    duck | ducks | quacks, dives | quack, dive | on the pond, in the reeds | snails, bread
    goose | geese | hisses, flies south | hiss, fly south | on the pond, by the river | grass, grain
    bird | birds | sings, builds a nest | sing, build nests | in the tree, in the nest | worms, seeds
    eagle | eagles | soars, hunts rabbits | soar, hunt rabbits | on the cliff, high in the sky | snakes, rabbits
    owl | owls | hoots, hunts at night | hoot, hunt at night | in the tower, in the old oak | mice, beetles
    mouse | mice | squeaks, hides in a hole | squeak, hide in holes | in the cellar, in the hole | cheese, crumbs
    rabbit | rabbits | hops, digs a burrow | hop, dig burrows | in the burrow, in the vegetable garden | carrots, lettuce
    fox | foxes | sneaks about, steals hens | sneak about, steal hens | in the den, at the edge of the forest | hens, rabbits
    wolf | wolves | howls, hunts in a pack | howl, hunt in packs | in the forest, in the mountains | sheep, deer
    bear | bears | growls, sleeps all winter | growl, sleep all winter | in the cave, in the forest | honey, berries
    lion | lions | roars, hunts zebras | roar, hunt zebras | on the savannah, in the cage | zebras, meat
    tiger | tigers | prowls, stalks its prey | prowl, stalk their prey | in the jungle, in the cage | deer, meat
    elephant | elephants | trumpets, lifts its trunk | trumpet, lift their trunks | on the savannah, at the water hole | leaves, bark
    monkey | monkeys | chatters, swings from tree to tree | chatter, swing from tree to tree | in the jungle, in the treetops | bananas, nuts
    frog | frogs | croaks, leaps | croak, leap | in the pond, on the lily pad | flies, insects
    bee | bees | buzzes, gathers nectar | buzz, gather nectar | in the hive, on the blossom | nectar, pollen
    spider | spiders | spins a web, lurks | spin webs, lurk | in the web, in the corner | flies, moths
    snake | snakes | slithers, sheds its skin | slither, shed their skins | under the stone, in the desert | frogs, eggs
    whale | whales | dives, blows water | dive, blow water | in the ocean, far from the coast | krill, small fish
    """,
)
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

FOOD = table(
    "food foods taste dish from",
    """
    apple | apples | sweet, sour, crisp | pie, juice | the orchard, the tree
    pear | pears | sweet, juicy, ripe | compote, juice | the orchard, the tree
    cherry | cherries | red, sweet, juicy | jam, pie | the orchard, the tree
    plum | plums | blue, sweet, ripe | jam, tart | the orchard, the tree
    strawberry | strawberries | red, sweet, ripe | jam, ice cream | the garden, the strawberry field
    orange | oranges | juicy, sweet, sour | marmalade, juice | the south, the orange grove
    lemon | lemons | yellow, sour, juicy | lemonade, sorbet | the south, the lemon tree
    banana | bananas | yellow, sweet, ripe | milkshake, bread | the plantation, the tropics
    tomato | tomatoes | red, ripe, juicy | sauce, soup | the greenhouse, the garden
    potato | potatoes | floury, boiled, fried | salad, soup | the field, the cellar
    onion | onions | sharp, chopped, fried | soup, tart | the field, the cellar
    carrot | carrots | crunchy, raw, orange | salad, soup | the vegetable patch, the garden
    bean | beans | green, boiled, dried | stew, salad | the vegetable patch, the garden
    mushroom | mushrooms | fresh, fried, wild | sauce, soup | the forest, the woods
    egg | eggs | boiled, fried, scrambled | omelette, salad | the henhouse, the farm
    nut | nuts | roasted, salted, crunchy | cake, spread | the forest, the tree
    """,
)
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

PLACES = table(
    "spot activity goods",
    """
    bakery | smell fresh bread, buy rolls | bread, rolls, cakes
    bank | change money, open an account | coins, banknotes, credit cards
    library | borrow books, read the newspapers | novels, dictionaries, atlases
    market | buy vegetables, meet the farmers | vegetables, cheese, flowers
    museum | look at old paintings, see a mummy | paintings, statues, old coins
    park | feed the ducks, play football | benches, fountains, lawns
    station | catch a train, wait for the express | platforms, timetables, ticket machines
    harbour | watch the ships, smell the sea | ships, cranes, lighthouses
    theatre | see a play, applaud the actors | curtains, tickets, costumes
    cinema | watch a film, eat popcorn | films, posters, popcorn
    school | learn to read, write exams | classrooms, exams, school desks
    hospital | visit the sick, see a surgeon | patients, beds, ambulances
    church | pray, hear the organ | candles, bells, hymn books
    castle | climb the tower, see the dungeon | towers, suits of armour, gates
    pharmacy | buy medicine, ask about pills | pills, cough syrup, bandages
    bookshop | buy a novel, find a present | novels, maps, calendars
    airport | board a plane, show a passport | planes, runways, passports
    hotel | book a room, leave the suitcases | rooms, keys, suitcases
    post office | send a parcel, buy stamps | stamps, parcels, letters
    swimming pool | swim, dive from the board | towels, bathing caps, diving boards
    """,
)
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

SEASONS = table(
    "season month weather deed",
    """
    winter | December, January, February | it snows, it freezes, the lake is frozen | skate, ski, build snowmen
    spring | March, April, May | the snow melts, the trees blossom, it rains | plant seeds, pick tulips, hear the cuckoo
    summer | June, July, August | it is hot, the sun shines, it thunders | swim, go camping, eat ice cream
    autumn | September, October, November | the leaves fall, it is foggy, the storms begin | harvest grapes, rake leaves, fly kites
    """,
)
SEASON_FRAMES = lines(
    """
    In {month} {weather}, and we {deed} on {weekday}.
    In {season} people {deed} when {weather}.
    {month} is a month of {season}.
    {name} was born in {month}, when {weather}.
    {weather} in {month1} and in {month2}.
    {name} likes {season} because {weather}.
    Children {deed} in {month}.
    From {month1} to {month2} {name} and {name2} {deed}.
    It was {weekday}, the first day of {month}, and {name} wanted to {deed}.
    """
)
