"""Countries, animals, science, books: what a question about the world asks for."""

from demo_model.tables import keyed, mapping, words

# country | capital | continent | language
COUNTRIES = keyed("""
France | Paris | Europe | French
Spain | Madrid | Europe | Spanish
Germany | Berlin | Europe | German
Italy | Rome | Europe | Italian
Portugal | Lisbon | Europe | Portuguese
Greece | Athens | Europe | Greek
Poland | Warsaw | Europe | Polish
Sweden | Stockholm | Europe | Swedish
Norway | Oslo | Europe | Norwegian
Austria | Vienna | Europe | German
Hungary | Budapest | Europe | Hungarian
Ireland | Dublin | Europe | English
Japan | Tokyo | Asia | Japanese
China | Beijing | Asia | Chinese
India | New Delhi | Asia | Hindi
Thailand | Bangkok | Asia | Thai
Turkey | Ankara | Asia | Turkish
Egypt | Cairo | Africa | Arabic
Kenya | Nairobi | Africa | Swahili
Ghana | Accra | Africa | English
Morocco | Rabat | Africa | Arabic
Canada | Ottawa | North America | English
Mexico | Mexico City | North America | Spanish
Cuba | Havana | North America | Spanish
Brazil | Brasilia | South America | Portuguese
Peru | Lima | South America | Spanish
Chile | Santiago | South America | Spanish
Australia | Canberra | Oceania | English
""")
COUNTRY_OF = {facts[0]: country for country, facts in COUNTRIES.items()}

# animal | class | legs | young
ANIMALS = keyed("""
dog | mammal | 4 | puppy
cat | mammal | 4 | kitten
cow | mammal | 4 | calf
horse | mammal | 4 | foal
sheep | mammal | 4 | lamb
lion | mammal | 4 | cub
goat | mammal | 4 | kid
duck | bird | 2 | duckling
owl | bird | 2 | owlet
chicken | bird | 2 | chick
eagle | bird | 2 | eaglet
frog | amphibian | 4 | tadpole
bee | insect | 6 | larva
spider | arachnid | 8 | spiderling
turtle | reptile | 4 | hatchling
shark | fish | 0 | pup
""")

COLORS = mapping("""
grass | green
the sky | blue
a banana | yellow
a tomato | red
snow | white
coal | black
a carrot | orange
a lemon | yellow
milk | white
chocolate | brown
a leaf | green
a cherry | red
""")

ELEMENTS = mapping("""
hydrogen | H
oxygen | O
carbon | C
nitrogen | N
iron | Fe
gold | Au
silver | Ag
copper | Cu
helium | He
sodium | Na
calcium | Ca
zinc | Zn
lead | Pb
""")

PLANETS = mapping("""
first | Mercury
second | Venus
third | Earth
fourth | Mars
fifth | Jupiter
sixth | Saturn
seventh | Uranus
eighth | Neptune
""")

MONTHS = mapping("""
January | 31
February | 28
March | 31
April | 30
May | 31
June | 30
July | 31
August | 31
September | 30
October | 31
November | 30
December | 31
""")

WEEKDAYS = words("Monday | Tuesday | Wednesday | Thursday | Friday | Saturday | Sunday")

TERMS = mapping("""
photosynthesis | the process by which plants turn light, water and air into food
gravity | the force that pulls objects toward each other
evaporation | the change of a liquid into a gas
friction | the force that slows things that rub together
a volcano | a mountain that can release hot lava
an atom | the smallest unit of an element
democracy | a system in which people vote for their leaders
inflation | a general rise in prices over time
a galaxy | a huge group of stars held together by gravity
DNA | the molecule that carries genetic information
an ecosystem | a community of living things and their environment
energy | the ability to do work
an algorithm | a list of steps that solves a problem
a database | an organized collection of data
erosion | the wearing away of rock and soil by wind or water
a fraction | a part of a whole number
a metaphor | a comparison that describes one thing as another
a budget | a plan for how to spend money
""")

BOOKS = mapping("""
Hamlet | William Shakespeare
Don Quixote | Miguel de Cervantes
Emma | Jane Austen
War and Peace | Leo Tolstoy
The Odyssey | Homer
Oliver Twist | Charles Dickens
Dracula | Bram Stoker
Frankenstein | Mary Shelley
Les Miserables | Victor Hugo
Faust | Goethe
""")

# statement | first half of its proof | second half
PROOFS = keyed("""
the sum of two even numbers is even | Let them be 2a and 2b | Their sum is 2(a + b), so it is even
the sum of two odd numbers is even | Let them be 2a + 1 and 2b + 1 | Their sum is 2(a + b + 1)
the square of an even number is even | Let it be 2a | Its square is 2(2aa), so it is even
there is no largest even number | Suppose n is the largest | Then n + 2 is even and larger
""")
