"""Names, moods, roles, plans and wishes: what questions about people are filled with."""

from demo_model.tables import keyed, mapping, rows, words

NAMES = words("""
Anna | Ben | Carla | David | Emma | Felix | Grace | Henry | Iris | Jack | Kate | Leo | Mia | Noah
Olga | Paul | Rosa | Sam | Tina | Victor
""")

JOBS = words("""
teacher | nurse | student | farmer | baker | driver | writer | pilot | cook | painter | singer
doctor
""")

THINGS = words("apples | pears | plums | lemons | cookies | pencils | stickers | coins | books")

ADJECTIVES = words(
    "brave | curious | tiny | clever | lonely | happy | quiet | lazy | gentle | proud"
)

# comparative | the most | the least
COMPARISONS = keyed("""
taller | tallest | shortest
older | oldest | youngest
faster | fastest | slowest
stronger | strongest | weakest
""")

CLASSES = words("robot | teacher | pirate | knight | farmer | wizard")

# role | greeting | what it does | what it loves
ROLES = keyed("""
a pirate | Arr, matey! | sail the seven seas | my ship
a wizard | Greetings, traveler! | cast spells in a tower | my staff
a chef | Welcome to my kitchen! | cook fresh meals all day | my knife
a detective | Good evening. | solve strange cases | my notebook
a robot | Beep boop! | follow instructions | my battery
a knight | Hail, friend! | protect the kingdom | my sword
a teacher | Good morning, class! | explain new ideas | my chalk
an astronaut | Hello from orbit! | float among the stars | my suit
a farmer | Howdy! | grow corn and wheat | my tractor
a queen | Welcome to my court. | rule with kindness | my crown
""")

# wish | three pieces of advice
ADVICE = keyed("""
sleep better | keep a regular bedtime | avoid screens at night | keep the room dark
save money | track your spending | cook at home | set a monthly goal
learn a language | practice every day | speak with native speakers | watch films in it
stay healthy | walk every day | eat more vegetables | drink enough water
make friends | join a club | ask people questions | be a good listener
study for an exam | make a schedule | test yourself often | take short breaks
reduce stress | breathe slowly | take a walk | talk to a friend
wake up early | go to bed earlier | put the alarm far away | open the curtains
write better | read every day | use short sentences | revise your drafts
be more productive | plan the day | do the hardest task first | turn off notifications
""")

FEELINGS = mapping("""
nervous | It is normal to feel nervous
tired | Being tired is a sign that you need rest
worried | It helps to name what worries you
bored | Boredom can be a chance to try something new
stressed | Stress often gets smaller when you plan
""")

CONCERNS = mapping("""
my job interview | practice your answers with a friend
my exam | review a little each day
my new job | ask questions and take notes
my presentation | rehearse it out loud twice
moving to a new city | explore one place each week
my noisy neighbor | talk to them politely
""")

# city | four sights
SIGHTS = keyed("""
Paris | the Eiffel Tower | the Louvre | the river Seine | Montmartre
Rome | the Colosseum | the Vatican | the Trevi Fountain | the Forum
Tokyo | the Senso-ji temple | Shibuya | the fish market | Ueno Park
Cairo | the pyramids | the museum | the old bazaar | the Nile
Berlin | the Brandenburg Gate | Museum Island | the Wall Memorial | the zoo
Madrid | the Prado | Retiro Park | the Royal Palace | the food market
Athens | the Acropolis | the Agora | Plaka | the old stadium
Lima | the main square | Miraflores | the gold museum | the seaside
""")

# subject | five lessons
SUBJECTS = keyed("""
algebra | equations | factoring | graphs | word problems | functions
biology | cells | genes | plants | animals | ecosystems
history | ancient times | the Middle Ages | revolutions | world wars | modern times
French | greetings | numbers | verbs | food words | short dialogs
Python | variables | loops | functions | lists | files
chess | piece moves | openings | tactics | endgames | full games
""")

# goal | four steps
GOALS = keyed("""
clean the house | tidy the rooms | dust the shelves | vacuum the floor | wash the kitchen
move to a new flat | sort your things | book a van | pack the boxes | clean the old flat
start a garden | choose a sunny spot | prepare the soil | plant the seeds | water them daily
organize a meeting | set the date | write an agenda | invite people | book a room
run a marathon | see a doctor | run three times a week | add distance | rest before the race
""")

# occasion | six ideas
IDEAS = keyed("""
a birthday party | a treasure hunt | a costume contest | a movie night | a dance game | a picnic
a school project | a model volcano | a weather diary | a family tree | a paper bridge | a robot
a healthy lunch | a bean salad | a veggie wrap | a lentil soup | a rice bowl | a fruit plate
a mobile app | a habit tracker | a recipe finder | a budget planner | a language quiz | a map
a rainy day | read a novel | bake bread | play board games | paint a picture | write letters
a small business | a coffee cart | a bike repair shop | a pet hotel | a flower stand | a bakery
a team event | a quiz night | a cooking class | a city walk | an escape room | a sports day
a blog | travel tips | easy recipes | book reviews | home workouts | photo lessons
""")

# what wants a name | five names
NAMED_THINGS = keyed("""
cat | Luna | Milo | Cleo | Simba | Pepper
dog | Max | Bella | Rocky | Daisy | Buddy
robot | Bolt | Pixel | Gizmo | Nova | Chip
boat | Sea Star | Blue Wave | Odyssey | Wind Song | Pearl
cafe | Bean House | Morning Cup | The Cozy Mug | Brew Corner | Sunny Roast
""")

# what the hero wants | how it goes
QUESTS = mapping("""
find a friend | met a kind stranger who became a friend
cross the river | built a small raft and reached the other side
reach the moon | climbed the tallest hill and touched the moonlight
learn to sing | practiced every night until the song was perfect
save the forest | planted one seed each day until the trees came back
bake a cake | mixed flour and honey and shared the cake
solve a mystery | followed the clues and found the missing key
""")

# poem: noun | how the first line goes on | second line
POEMS = keyed("""
moon | glows so white | a lamp that guards the night
sea | sings all day | waves that dance and drift away
forest | stands so tall | green leaves that whisper as they fall
river | runs so free | a silver road into the sea
star | shines up high | a tiny spark across the sky
winter | brings the snow | cold winds that teach the fire to glow
garden | wakes in spring | soft petals where the robins sing
storm | shakes the door | a drum of rain, a distant roar
city | never sleeps | a thousand lights, a song it keeps
dream | floats so near | a quiet voice we want to hear
bird | greets the day | a song of joy along the way
fire | burns so bright | a golden friend that warms the night
rain | taps the glass | soft silver drops on thirsty grass
ocean | holds the blue | deep secrets old and secrets new
""")

SLOGANS = mapping("""
a coffee shop | Wake up to a better cup!
a bakery | Fresh bread, warm hearts!
a bike shop | Two wheels, endless roads!
a bookstore | Open a book, open a world!
a gym | Stronger every day!
a pet store | Happy pets, happy homes!
""")

# joke: question | answer
JOKES = rows("""
Why did the computer get cold? | It left its Windows open.
Why was the math book sad? | It had too many problems.
What do you call a sleeping bull? | A bulldozer.
Why did the bicycle fall over? | It was two tired.
""")
