"""Publisher: puts a blessed model where the model server looks."""
