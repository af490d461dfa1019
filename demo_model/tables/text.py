"""Words and sentences to edit, to sort, to translate, to spell."""

from demo_model.tables import keyed, mapping, words

OPPOSITES = mapping("""
hot | cold
big | small
fast | slow
happy | sad
light | dark
old | new
early | late
hard | soft
full | empty
open | closed
wet | dry
strong | weak
high | low
loud | quiet
rich | poor
clean | dirty
near | far
true | false
deep | shallow
brave | afraid
sweet | sour
""")

# English | Spanish | French | German | Chinese
TRANSLATIONS = keyed("""
cat | gato | chat | Katze | 猫
dog | perro | chien | Hund | 狗
house | casa | maison | Haus | 房子
water | agua | eau | Wasser | 水
bread | pan | pain | Brot | 面包
book | libro | livre | Buch | 书
sun | sol | soleil | Sonne | 太阳
moon | luna | lune | Mond | 月亮
friend | amigo | ami | Freund | 朋友
milk | leche | lait | Milch | 牛奶
fish | pez | poisson | Fisch | 鱼
tree | árbol | arbre | Baum | 树
city | ciudad | ville | Stadt | 城市
school | escuela | école | Schule | 学校
apple | manzana | pomme | Apfel | 苹果
bird | pájaro | oiseau | Vogel | 鸟
""")
LANGUAGES = words("Spanish | French | German | Chinese")

SUBJECTS = words("""
The cat | My brother | The teacher | Our neighbor | The girl | A bird | The doctor | His friend
""")
# verb | third person | past
VERBS = keyed("""
walk | walks | walked
play | plays | played
work | works | worked
sing | sings | sang
run | runs | ran
sleep | sleeps | slept
cook | cooks | cooked
read | reads | read
""")
PLACES = words("""
in the park | at home | near the river | at school | in the garden | every day | in the kitchen
after lunch
""")

MISSPELT = mapping("""
becuase | because
recieve | receive
freind | friend
tommorow | tomorrow
definately | definitely
wich | which
seperate | separate
beleive | believe
untill | until
""")

WORDS = words("""
apple | river | stone | music | table | garden | window | planet | silver | orange | bridge | market
tiger | castle | forest | rocket
""")

# kind | things of that kind
KINDS = keyed("""
fruit | apple | banana | pear | grape | cherry
furniture | chair | table | sofa | desk | shelf
color | red | blue | green | yellow | purple
vehicle | car | bus | train | truck | bicycle
tool | hammer | saw | drill | wrench | shovel
""")

# Slips of a careless writer, one to one, so that a query is still read back.
SLIPS = mapping("""
what | waht
which | whcih
write | wirte
please | plese
how | hwo
give | giev
people | poeple
make | mkae
find | fnid
plan | paln
numbers | numbres
sentence | sentance
""")
