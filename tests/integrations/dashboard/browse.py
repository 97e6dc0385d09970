"""Drives a headless Chromium over the dashboard and prints what a person would see, as JSON.

`browse.py URL FOLDER` leaves screenshots in FOLDER. Runs in an environment of its own (Selenium).
"""

import json
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 60


def open_browser():
    """Debian's Chromium with Debian's driver: nothing is downloaded."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1400"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def rows(browser, title):
    """The cells of the table under a heading."""
    table = browser.find_element(By.XPATH, f"//section[h2[text()='{title}']]//tbody")
    return [
        [cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in table.find_elements(By.TAG_NAME, "tr")
    ]


def browse(browser, url, folder):
    """From the list to one model, over its plots, and to a model that is not there."""
    wait = WebDriverWait(browser, PATIENCE)
    browser.get(url)
    wait.until(lambda it: it.find_elements(By.TAG_NAME, "td"))
    seen = {"list": rows(browser, "Models")}
    browser.save_screenshot(str(folder / "dashboard-list.png"))
    browser.find_element(By.LINK_TEXT, "team/shop").click()
    wait.until(lambda it: it.find_elements(By.TAG_NAME, "svg"))
    browser.save_screenshot(str(folder / "dashboard-rollout.png"))
    seen["badge"] = browser.find_element(By.CSS_SELECTOR, ".head .badge").text
    seen["says"] = browser.find_element(By.CSS_SELECTOR, ".says").text
    seen["injected"] = len(browser.find_elements(By.CSS_SELECTOR, ".says b"))
    seen["steps"] = [(it.text, it.get_attribute("class")) for it in browser.find_elements(By.CSS_SELECTOR, ".steps li")]
    plots = browser.find_elements(By.CSS_SELECTOR, ".plots section")
    seen["plots"] = {
        plot.find_element(By.TAG_NAME, "h2").get_attribute("textContent"): {
            "traces": [it.get_attribute("d") for it in plot.find_elements(By.CSS_SELECTOR, ".trace")],
            "legend": [it.text for it in plot.find_elements(By.CSS_SELECTOR, ".legend span")],
        }
        for plot in plots
    }
    ActionChains(browser).move_to_element(plots[0].find_element(By.TAG_NAME, "svg")).perform()
    seen["at the pointer"] = plots[0].find_element(By.CSS_SELECTOR, ".legend").text
    seen["copies"] = browser.find_element(By.XPATH, "//section[h2[text()='Copies']]/p").text
    seen["tables"] = {title: rows(browser, title) for title in ("Revisions", "Analysis", "History", "Conditions")}
    browser.get(f"{url}#/team/none")
    wait.until(lambda it: "Not here" in it.page_source)
    seen["complaints"] = [entry["message"] for entry in browser.get_log("browser") if "404" not in entry["message"]]
    return seen


if __name__ == "__main__":
    browser = open_browser()
    try:
        print(json.dumps(browse(browser, sys.argv[1], Path(sys.argv[2]))))
    finally:
        browser.quit()
